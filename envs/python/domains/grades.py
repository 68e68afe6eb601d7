"""Marks of a school: one table, then courses with weights, and at level 5 departments, credits and students' tutors."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from datetime import timedelta
from fractions import Fraction

from agentrl.envs.python.answers import any_order, in_order, number, text
from agentrl.envs.python.family import Case, Row, World, grouped, mean, ranked, size, top
from agentrl.envs.python.files import Paper, Table, pretty
from agentrl.envs.python.words import Draw

__all__ = [
    "ask_best_student",
    "ask_best_tutor",
    "ask_course_mean",
    "ask_credit_mean",
    "ask_failing",
    "ask_improved",
    "ask_median",
    "ask_student_sum",
    "ask_top_students",
    "ask_weighted",
    "ask_without_lowest",
    "world",
]

_KINDS = ("exam", "homework", "project")
_COURSES_LOADER = """
courses = {}
for department in json.load(open("courses.json"))["departments"]:
    for course in department["courses"]:
        courses[course["course"]] = {**course, "department": department["name"]}
"""


def world(draw: Draw) -> World:
    """Draw marks; from level 4 on with the courses' weights and credits, at level 5 with tutors too."""
    level = draw.level
    num_students = (4, 16, 20, 26, 40)[level - 1]
    courses = draw.some("courses", (3, 6, 7, 8, 12)[level - 1])
    if level == 1:
        students = draw.some("names", num_students)
    else:
        students = draw.shuffled([f"{a} {b}" for a in draw.some("names", 8) for b in draw.some("surnames", 8)])[
            :num_students
        ]
    start = draw.day()
    level_of = {student: draw.whole(-14, 14) for student in students}
    rows: list[Row] = []
    for index in range(size(draw)):
        student = draw.pick(students)
        score = max(5, min(100, 62 + level_of[student] + draw.whole(-28, 28)))
        row = {"id": f"G{1000 + index}", "student": student, "course": draw.pick(courses), "kind": draw.pick(_KINDS)}
        rows.append({**row, "day": start + timedelta(days=draw.whole(0, 150)), "score": score})
    columns = {"student": "name", "course": "text", "score": "whole"}
    if level > 1:
        columns = {"day": "day", "student": "name", "course": "text", "kind": "text", "score": "whole"}
    if level > 2:
        columns = {"id": "id", **columns}
    ending = draw.pick(("csv", "json") if level == 1 else ("csv", "tsv", "txt", "jsonl"))
    about = "one row for each mark, out of 100."
    marks = Table(name="marks", columns=columns, rows=rows, file=f"marks.{ending}", dirty=level > 2, about=about)
    if level < 4:
        return World(tables=(marks,))
    papers = (_courses(draw, courses),)
    return World(tables=(marks, _students(draw, students)) if level == 5 else (marks,), papers=papers)


def _courses(draw: Draw, courses: Sequence[str]) -> Paper:
    departments, teachers = draw.some("adjectives", 3), draw.some("surnames", 5)
    rows: list[Row] = []
    for course in courses:
        exam = 5 * draw.whole(6, 12)
        homework = 5 * draw.whole(2, (95 - exam) // 5)
        weights = {"exam": exam, "homework": homework, "project": 100 - exam - homework}
        row = {"course": course, "department": draw.pick(departments), "teacher": draw.pick(teachers)}
        rows.append({**row, "credits": draw.whole(2, 9), **weights})

    def files(draw: Draw) -> Mapping[str, bytes]:
        nested = [
            {
                "name": department,
                "courses": [
                    {
                        "course": row["course"],
                        "teacher": row["teacher"],
                        "credits": row["credits"],
                        "weights": {kind: row[kind] for kind in _KINDS},
                    }
                    for row in rows
                    if row["department"] == department
                ],
            }
            for department in departments
        ]
        return {"courses.json": pretty({"departments": nested})}

    about = (
        "courses.json: departments with their courses; weights say how many percent of a course's grade the mean of "
        "each kind of mark is. Where a student has no mark of a kind in a course, the weights of the other kinds are "
        "scaled up to 100 percent."
    )
    return Paper(name="courses", rows=rows, files=files, loader=_COURSES_LOADER, about=about)


def _students(draw: Draw, students: Sequence[str]) -> Table:
    tutors = draw.some("surnames", 14)[5:]
    rows: list[Row] = [{"student": name, "tutor": draw.pick(tutors), "year": draw.whole(1, 4)} for name in students]
    columns = {"student": "name", "tutor": "text", "year": "whole"}
    return Table(name="students", columns=columns, rows=rows, file="students.db", about="one row for each student.")


def ask_course_mean(draw: Draw, world: World) -> Case | None:
    """Ask for the mean score of a course; None where it has fewer than three marks."""
    course = draw.pick(world["marks"])["course"]
    found = [row["score"] for row in world["marks"] if row["course"] == course]
    if len(found) < 3:
        return None
    exact = mean(found)
    return Case(params={"course": course}, answer=number(exact, 2), exact=exact)


def ask_student_sum(draw: Draw, world: World) -> Case | None:
    """Ask what a student's scores add up to; None where a single mark would tell."""
    student = draw.pick(world["marks"])["student"]
    found = [row["score"] for row in world["marks"] if row["student"] == student]
    return Case(params={"student": student}, answer=number(sum(found))) if len(found) > 1 else None


def ask_median(draw: Draw, world: World) -> Case:
    """Ask for the median score of one kind of mark in a course."""
    row = draw.pick(world["marks"])
    params = {"course": row["course"], "kind": row["kind"]}
    found = [r["score"] for r in world["marks"] if r["course"] == row["course"] and r["kind"] == row["kind"]]
    exact = Fraction(statistics.median(map(Fraction, found)))
    return Case(params=params, answer=number(exact, 1), exact=exact)


def ask_best_student(draw: Draw, world: World) -> Case | None:
    """Ask who has the highest mean score in a course; None where two students are near."""
    row = draw.pick(world["marks"])
    rows = [r for r in world["marks"] if r["course"] == row["course"]]
    best = top({s: mean(v) for s, v in grouped(rows, lambda r: str(r["student"]), lambda r: int(r["score"])).items()})
    return Case(params={"course": row["course"]}, answer=text(best)) if best else None


def ask_without_lowest(draw: Draw, world: World) -> Case | None:
    """Ask for a student's mean without the two lowest scores; None where fewer than two would be left."""
    student = draw.pick(world["marks"])["student"]
    found = sorted(row["score"] for row in world["marks"] if row["student"] == student)
    if len(found) < 4:
        return None
    exact = mean(found[2:])
    return Case(params={"student": student}, answer=number(exact, 2), exact=exact)


def ask_top_students(draw: Draw, world: World) -> Case | None:
    """Ask for the three best students of a month, best first; None where two of the first four are near."""
    month = f"{draw.pick(world['marks'])['day']:%Y-%m}"
    rows = [row for row in world["marks"] if f"{row['day']:%Y-%m}" == month]
    best = ranked(
        {s: mean(v) for s, v in grouped(rows, lambda r: str(r["student"]), lambda r: int(r["score"])).items()}, 3
    )
    return Case(params={"month": month}, answer=in_order(best)) if best else None


def _grades(world: World) -> dict[tuple[str, str], Fraction]:
    """Return the weighted grade by student and course."""
    courses = {row["course"]: row for row in world["courses"]}
    kinds = grouped(
        world["marks"], lambda r: (str(r["student"]), str(r["course"]), str(r["kind"])), lambda r: int(r["score"])
    )
    found: dict[tuple[str, str], list[tuple[int, Fraction]]] = {}
    for (student, course, kind), scores in kinds.items():
        found.setdefault((student, course), []).append((courses[course][kind], mean(scores)))
    return {key: sum((w * m for w, m in each), Fraction(0)) / sum(w for w, _ in each) for key, each in found.items()}


def ask_weighted(draw: Draw, world: World) -> Case:
    """Ask for a student's grade in a course by its weights, scaled up where a kind of mark is missing."""
    grades = _grades(world)
    row = draw.pick(world["marks"])
    exact = grades[row["student"], row["course"]]
    return Case(params={"student": row["student"], "course": row["course"]}, answer=number(exact, 2), exact=exact)


def ask_failing(draw: Draw, world: World) -> Case | None:
    """Ask whose weighted grade in a course is below a limit; None for one or many, or a grade close to the limit."""
    grades, course = _grades(world), draw.pick(world["courses"])["course"]
    mine = {student: grade for (student, each), grade in grades.items() if each == course}
    limit = draw.whole(40, 62)
    found = [student for student, grade in mine.items() if grade < limit]
    if not 1 < len(found) < 8 or any(abs(grade - limit) < Fraction(1, 1000) for grade in mine.values()):
        return None
    return Case(params={"course": course, "limit": limit}, answer=any_order(found))


def ask_credit_mean(draw: Draw, world: World) -> Case:
    """Ask for the mean of a student's weighted grades, each course counting by its credits."""
    grades, credits = _grades(world), {row["course"]: row["credits"] for row in world["courses"]}
    student = draw.pick(world["marks"])["student"]
    mine = [(credits[course], grade) for (name, course), grade in grades.items() if name == student]
    exact = sum((each * grade for each, grade in mine), Fraction(0)) / sum(each for each, _ in mine)
    return Case(params={"student": student}, answer=number(exact, 2), exact=exact)


def ask_best_tutor(draw: Draw, world: World) -> Case | None:
    """Ask whose students have the best weighted grades in a department; None where two tutors are near."""
    tutor = {row["student"]: str(row["tutor"]) for row in world["students"]}
    course_rows = {row["course"]: row for row in world["courses"]}
    department = draw.pick(world["courses"])["department"]
    grades: dict[str, list[Fraction]] = {}
    for (student, course), grade in _grades(world).items():
        if course_rows[course]["department"] == department:
            grades.setdefault(tutor[student], []).append(grade)
    best = top({name: mean(each) for name, each in grades.items()})
    return Case(params={"department": department}, answer=text(best)) if best else None


def ask_improved(draw: Draw, world: World) -> Case | None:
    """Ask which students of a tutor are better from a day on; None for one or all, or marks on one side only."""
    tutor = {row["student"]: row["tutor"] for row in world["students"]}
    chosen = draw.pick(world["students"])["tutor"]
    moment = draw.pick(world["marks"])["day"]
    mine = sorted(student for student, name in tutor.items() if name == chosen)
    found = []
    for student in mine:
        before = [r["score"] for r in world["marks"] if r["student"] == student and r["day"] < moment]
        after = [r["score"] for r in world["marks"] if r["student"] == student and r["day"] >= moment]
        if not before or not after or abs(mean(after) - mean(before)) < Fraction(1, 100):
            return None
        if mean(after) > mean(before):
            found.append(student)
    return (
        Case(params={"tutor": chosen, "day": f"{moment}"}, answer=any_order(found))
        if 1 < len(found) < len(mine)
        else None
    )
