"""What is asked of marks: wordings for both splits, and the cells that find the answers."""

from __future__ import annotations

from agentrl.envs.python.domains import grades as data
from agentrl.envs.python.family import Family

__all__ = ["FAMILIES"]

_GRADE = """
kinds = {}
for r in marks:
    kinds.setdefault((r["student"], r["course"]), {}).setdefault(r["kind"], []).append(r["score"])
grade = {}
for key, scores in kinds.items():
    weights = courses[key[1]]["weights"]
    total = sum(weights[kind] * sum(each) / len(each) for kind, each in scores.items())
    grade[key] = total / sum(weights[kind] for kind in scores)
"""

FAMILIES = (
    Family(
        name="grades-mean",
        levels=(1, 2),
        world=data.world,
        ask=data.ask_course_mean,
        train=("What is the mean score in $course?", "What score do the marks in $course have on average?"),
        test=(
            "Find the average of all scores in $course.",
            "Take the marks of the course $course: what is their mean?",
        ),
        cell="""
found = [r["score"] for r in marks if r["course"] == $course]
print(round(sum(found) / len(found), 2))""",
    ),
    Family(
        name="grades-sum-of-student",
        levels=(1,),
        world=data.world,
        ask=data.ask_student_sum,
        train=("What do the scores of $student add up to?", "How many points does $student have in all?"),
        test=("Find the total of the scores that $student has.", "Sum the scores over the rows of $student."),
        cell='print(sum(r["score"] for r in marks if r["student"] == $student))',
    ),
    Family(
        name="grades-median",
        levels=(2, 3),
        world=data.world,
        ask=data.ask_median,
        train=(
            "What is the median score of the marks of kind $kind in $course?",
            "Find the middle score (the median) of kind $kind in the course $course.",
        ),
        test=(
            "In $course, what median do the scores have whose kind is $kind?",
            "Order the $kind scores of $course: what is their median?",
        ),
        cell="""
import statistics
print(statistics.median(r["score"] for r in marks if r["course"] == $course and r["kind"] == $kind))""",
    ),
    Family(
        name="grades-best-student",
        levels=(2, 3),
        world=data.world,
        ask=data.ask_best_student,
        train=(
            "Which student has the highest mean score in $course?",
            "Whose scores in $course are the best on average?",
        ),
        test=(
            "Name the student who leads $course by average score.",
            "By their mean in $course, which student comes first?",
        ),
        cell="""
scores = {}
for r in marks:
    if r["course"] == $course:
        scores.setdefault(r["student"], []).append(r["score"])
print(max(scores, key=lambda name: sum(scores[name]) / len(scores[name])))""",
    ),
    Family(
        name="grades-without-lowest",
        levels=(3,),
        world=data.world,
        ask=data.ask_without_lowest,
        train=(
            "What is the mean of all scores of $student without the two lowest?",
            "Leave out the two lowest scores of $student; what is the mean of the others?",
        ),
        test=(
            "Drop the two worst scores that $student has, and average the rest.",
            "After striking the two smallest scores of $student, what mean remains?",
        ),
        cell="""
found = sorted(r["score"] for r in marks if r["student"] == $student)[2:]
print(round(sum(found) / len(found), 2))""",
    ),
    Family(
        name="grades-top-students",
        levels=(3, 4),
        world=data.world,
        ask=data.ask_top_students,
        train=(
            "Which three students have the highest mean score of the marks from $month, the highest first?",
            "Name the three best students of $month by their mean score, best first.",
        ),
        test=(
            "Rank the students by average score in $month; who are the first three, from the top down?",
            "Who are first, second and third by the mean of all their scores dated $month?",
        ),
        cell="""
scores = {}
for r in marks:
    if r["day"].startswith($month):
        scores.setdefault(r["student"], []).append(r["score"])
order = sorted(scores, key=lambda name: sum(scores[name]) / len(scores[name]), reverse=True)
print(", ".join(order[:3]))""",
    ),
    Family(
        name="grades-weighted",
        levels=(4,),
        world=data.world,
        ask=data.ask_weighted,
        train=(
            "What is the weighted grade of $student in $course?",
            "With the weights of the course, which grade does $student have in $course?",
        ),
        test=(
            "Compute the grade of $student for $course by its weights.",
            "In $course, weighted by kind, what is the grade that $student gets?",
        ),
        cell=_GRADE + "print(round(grade[$student, $course], 2))",
    ),
    Family(
        name="grades-below",
        levels=(4, 5),
        world=data.world,
        ask=data.ask_failing,
        train=(
            "Which students have a weighted grade below $limit in $course?",
            "Name the students whose weighted grade in $course is under $limit.",
        ),
        test=(
            "Who does not reach $limit in $course, by weighted grade?",
            "By the weights of $course, what students stay short of $limit?",
        ),
        cell=_GRADE
        + 'print(", ".join(name for (name, course), g in grade.items() if course == $course and g < $limit))',
    ),
    Family(
        name="grades-by-credits",
        levels=(5,),
        world=data.world,
        ask=data.ask_credit_mean,
        train=(
            "What is the mean of the weighted grades of $student over all courses with marks, each course "
            "counting by its credits?",
            "Weight the course grades of $student by credits: what is the mean?",
        ),
        test=(
            "Average all weighted course grades that $student has, using credits as weights.",
            "By credits, what overall grade results for $student from the weighted grades of the courses?",
        ),
        cell=_GRADE
        + """
mine = {course: g for (name, course), g in grade.items() if name == $student}
total = sum(courses[course]["credits"] for course in mine)
print(round(sum(courses[course]["credits"] * g for course, g in mine.items()) / total, 2))""",
    ),
    Family(
        name="grades-best-tutor",
        levels=(5,),
        world=data.world,
        ask=data.ask_best_tutor,
        train=(
            "Which tutor's students have the highest mean of weighted grades in the courses of the department "
            "$department?",
            "In the department $department, the weighted grades of whose students are the best on average? Name "
            "the tutor.",
        ),
        test=(
            "Average the weighted grades in $department courses by tutor; which tutor leads?",
            "Name the tutor with the greatest average of weighted course grades over courses in $department.",
        ),
        cell=_GRADE
        + """
tutor = {s["student"]: s["tutor"] for s in students}
found = {}
for (name, course), g in grade.items():
    if courses[course]["department"] == $department:
        found.setdefault(tutor[name], []).append(g)
print(max(found, key=lambda name: sum(found[name]) / len(found[name])))""",
    ),
    Family(
        name="grades-improved",
        levels=(5,),
        world=data.world,
        ask=data.ask_improved,
        train=(
            "Which students of the tutor $tutor have a higher mean score from $day on than before that day?",
            "Name the students of $tutor whose scores on or after $day are better on average than the earlier ones.",
        ),
        test=(
            "Compare scores before $day with those on and after it: who of $tutor's students rose on average?",
            "Among those tutored by $tutor, whose mean score went up, with $day as the first day of the second part?",
        ),
        cell="""
tutor = {s["student"]: s["tutor"] for s in students}
def average(name, late):
    found = [r["score"] for r in marks if r["student"] == name and (r["day"] >= $day) == late]
    return sum(found) / len(found)
mine = [name for name in tutor if tutor[name] == $tutor]
print(", ".join(name for name in mine if average(name, True) > average(name, False)))""",
    ),
)
