"""The labs of a checkout: one source each, from which copies are made, run and checked.

    notebooks/source/NN_name.py        the source: jupytext's percent format, solutions included
    notebooks/NN_name.ipynb            the student's copy, generated
    notebooks/solutions/NN_name.ipynb  the solved copy, generated and executed

Everything here stands on jupytext, nbgrader, nbclient, nbconvert and nbval: the extras ``labs`` and
``test`` install them.
"""
