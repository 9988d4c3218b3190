"""The labs as a course: nbgrader's folders, grading with limits, and what is handed out.

    create.py     lay out an nbgrader course from the labs of the installed package
    autograde.py  grade a class, and record the marks in the lecturer's gradebook
    worker.py     grade one submission, in a process and a copy of the course of its own
    restore.py    put a submission's tests and marks back as they were
    execute.py    run a notebook in a confined kernel, to its end whatever happens in it
    sandbox.py    what such a kernel is started with
    limits.py     what it may use
    confine.py    the limits themselves, and a world of its own
    release.py    the zip files for students and lecturers
    leaks.py      what must not be in the students' one
    variant.py    the same labs with other seeds, groups and numbers
    outcomes.py   which exercise serves which outcome, and its marks

Everything here stands on the extra ``labs``.
"""
