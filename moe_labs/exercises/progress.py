"""How far a student has come in a lab."""

from moe_labs.exercises.exercise import Exercise


def exercises_of(lab):
    """The exercises of a lab, in the order in which it states them.

    Args:
        lab: the lab's module, such as `moe_labs.exercises.lab01`.

    Returns:
        Dictionary of names to `Exercise`.
    """
    return {name: value for name, value in vars(lab).items() if isinstance(value, Exercise)}


def summary(lab):
    """Print what has been attempted in a lab, what is right, and the marks so far.

    Each exercise counts as it stood at its last check. Questions answered in words are not
    counted: a lecturer reads them.

    Args:
        lab: the lab's module, such as `moe_labs.exercises.lab01`.

    Returns:
        Nothing: it prints.

    Example:

    >>> from moe_labs.exercises import lab06, summary
    >>> summary(lab06)  # doctest: +SKIP
    lab06: 1 of 4 exercises attempted, 1 right, 3 of 10 marks.
      dispatch_weights  not attempted   0 of 2   hint: lab06.dispatch_weights.hint()
      fill_slots        not attempted   0 of 2   hint: lab06.fill_slots.hint()
      combine           right           3 of 3
      one_token         not attempted   0 of 3   hint: lab06.one_token.hint()
    Your lecturer reads the answers to the questions.
    """
    exercises = exercises_of(lab)
    short = lab.__name__.rpartition(".")[2]
    attempted = sum(exercise.status != "not attempted" for exercise in exercises.values())
    right = sum(exercise.is_right for exercise in exercises.values())
    earned = sum(exercise.earned for exercise in exercises.values())
    marks = sum(exercise.marks for exercise in exercises.values())
    print(
        f"{short}: {attempted} of {len(exercises)} exercises attempted, {right} right, "
        f"{earned} of {marks} marks."
    )
    width = max(map(len, exercises))
    for name, exercise in exercises.items():
        marks = f"{exercise.earned:2} of {exercise.marks}"
        help_line = "" if exercise.is_right else f"   hint: {short}.{name}.hint()"
        print(f"  {name:{width}}  {exercise.status:13}  {marks}{help_line}")
    print("Your lecturer reads the answers to the questions.")
