"""The labs as a course: nbgrader's folders, grading with limits, and what is handed out.

    create.py     lay out an nbgrader course from the labs of the installed package
    submission.py what a student handed in, and what is wrong with it before it runs
    confine.py    start a kernel with limits, and out of sight of everything that is not its own
    execute.py    run one notebook in such a kernel
    grade.py      grade one submission, in a scratch copy of the course
    autograde.py  grade a class, and record the marks in the lecturer's gradebook
    release.py    the zip files for students and lecturers
    leaks.py      what must not be in the students' one
    variant.py    the same labs with other seeds, groups and numbers
    outcomes.py   which exercise serves which outcome, and its marks

Everything here stands on the extra ``labs``.
"""
