"""The labs as a course: nbgrader's folders, grading with limits, and what is handed out.

    create.py     lay out an nbgrader course from the labs of the installed package
    collect.py    sort a learning platform's download into folders
    autograde.py  grade a class, and record the marks in the lecturer's gradebook
    assignment.py an assignment as the gradebook has it, and the course's settings
    handed_in.py  the boundary: texts, moments, files and notebooks of students, made safe
    submission.py which file is the notebook
    given.py      which of its cells is which
    worker.py     grade one submission, in a process and a copy of the course of its own
    restore.py    put a submission's tests and marks back as they were
    tampering.py  what a lecturer should read
    execute.py    run a notebook in a confined kernel, to its end whatever happens in it
    judge.py      confirm marks in processes apart (judging.py, answers.py, closure.py, left_out.py)
    clean.py      no active content in what is looked at
    gradebook.py  the gradebook, opened with care
    record.py     enter marks in the gradebook
    marks_table.py  the table of marks
    sandbox.py    what such a kernel is started with
    limits.py     what it may use
    confine.py    the limits themselves, and a world of its own
    release.py    the zip files for students and lecturers
    leaks.py      what must not be in the students' one
    variant.py    the same labs with other seeds, groups and numbers
    outcomes.py   which exercise serves which outcome, and its marks

Everything here stands on the extra ``labs``.
"""
