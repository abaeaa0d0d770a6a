"""The dialogues of language models in a report."""

from __future__ import annotations

from src.experiments.analysis.dialogues import Example, RunExamples, abridged
from src.experiments.analysis.page import render_markdown, render_page
from src.experiments.analysis.streams import StreamFacts
from src.experiments.domain.paths import ExperimentPaths
from src.experiments.domain.records import RunKey
from tests.unit.reported import FEW_FIGURES, FIVE, content

RUNS = [RunKey(arm, seed) for arm in ("baseline", "variant") for seed in (1, 2)]


def said(step, text, name="examples/completion"):
    return {"kind": "text", "step": step, "name": name, "text": text}


def evaluated(step, text, earned, *, final=False):
    """What an evaluation leaves in a journal."""
    told = {"kind": "evaluation", "step": step, "final": final, "returns": [earned, 0.5]}
    return [{**told, "metrics": {"eval/return_mean": earned}}, said(step, text)]


def collected(journals):
    facts = StreamFacts(RUNS)
    for run in RUNS:
        facts.add(run, iter(journals.get(run, ())), ())
    return facts


def rendered(tmp_path, dialogues, **changes):
    report = content(FIVE, dialogues=dialogues, **FEW_FIGURES, **changes)
    paths = ExperimentPaths.under(tmp_path, "x")
    return render_page(report, (), paths), render_markdown(report, (), paths)


def test_of_each_arm_the_first_run_s_first_and_last_dialogue_are_kept():
    journals = {
        run: [said(step, f"{run.arm} {run.seed} {step}") for step in (0, 5, 9)] for run in RUNS
    }
    journals[RUNS[0]].append(said(9, "cpu", "accelerate/device"))

    assert collected(journals).dialogues.found == tuple(
        RunExamples(run, (Example(0, f"{run.arm} 1 0"), Example(9, f"{run.arm} 1 9")))
        for run in (RUNS[0], RUNS[2])
    )


def test_the_last_one_about_the_same_problem_is_kept_beside_the_final_one():
    whole = [
        *evaluated(0, "2+2=5", 0.0),
        *evaluated(4, "2+2=6", 0.0),
        *evaluated(8, "2+2=4", 1.0),
        *evaluated(9, "3+3=7", 0.0, final=True),
    ]
    (found,) = collected({RUNS[0]: whole}).dialogues.found

    assert found.examples == (
        Example(0, "2+2=5", 0.0),
        Example(8, "2+2=4", 1.0),
        Example(9, "3+3=7", 0.0, is_final=True),
    )


def test_a_run_without_dialogues_gives_way_and_one_evaluation_has_one():
    found = collected({RUNS[1]: [said(4, "2+2=4")]}).dialogues.found

    assert found == (RunExamples(RUNS[1], (Example(4, "2+2=4"),)),)


def test_what_stands_beside_dialogues_in_a_journal_is_still_read():
    evaluation = {"kind": "evaluation", "step": 4, "metrics": {"eval/return_mean": 1.0}}
    facts = collected({RUNS[0]: [said(0, "a"), evaluation, said(4, "b")]})

    assert any(facts.curves.values())
    assert len(facts.dialogues.found) == 1


def test_dialogues_are_shown_with_their_steps_as_literal_text(tmp_path):
    examples = (
        Example(0, "2?<end>\n*7*"),
        Example(1080, "2?<b>calc(2)</b>\n=2;2", 0.75, is_final=True),
    )
    page, markdown = rendered(tmp_path, (RunExamples(RunKey("variant", 43), examples),))

    assert "<pre><bdi>2?&lt;b&gt;calc(2)&lt;/b&gt;\n=2;2</bdi></pre>" in page
    assert "Before the first step" in page
    assert "Final evaluation, after 1,080 steps · return 0.75" in page
    assert "variant, seed 43. Before the first step:\n\n    2?<end>\n    *7*\n" in markdown
    assert "    2?<b>calc(2)</b>\n    =2;2\n" in markdown


def test_a_report_of_other_experiments_has_no_such_section(tmp_path):
    for text in rendered(tmp_path, ()):
        assert "Dialogues" not in text


def test_of_a_long_dialogue_the_beginning_and_the_end_are_shown():
    text = "a" * 600 + "b" * 5000 + "c" * 400

    assert abridged(text) == "a" * 600 + "\n[… 5,000 characters are left out …]\n" + "c" * 400
    assert abridged("a" * 1000) == "a" * 1000


def test_a_secret_is_taken_out_before_a_dialogue_is_shortened(tmp_path):
    text = "a" * 595 + "hunter2hunter2" + "b" * 900
    dialogues = (RunExamples(RUNS[0], (Example(0, text),)),)
    for told in rendered(tmp_path, dialogues, secrets=frozenset({"hunter2hunter2"})):
        assert "hunte" not in told
