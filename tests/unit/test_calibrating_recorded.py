from __future__ import annotations

import json
from pathlib import Path

from src.experiments.cli.calibrating import recording_of
from src.experiments.outputs.derived import write_results
from tests.unit.compared_experiments import RISING, new, train


def test_runs_that_were_cancelled_lack_no_score(tmp_path: Path) -> None:
    experiment = new(tmp_path, "cut", seeds=5)
    experiment.begin()
    train(experiment, "baseline", RISING, seeds=[1, 2])
    experiment.stop()
    experiment.save()
    write_results(experiment)
    document = json.loads(experiment.paths.results.read_text())
    for run in document["runs"]:
        if run["arm"] == "baseline" and run["seed"] > 3:
            run |= {"status": "cancelled", "analysed": False}
    experiment.paths.results.write_text(json.dumps(document))

    recording = recording_of(experiment.paths, "baseline")

    # the third seed is still to come
    assert (len(recording.scores), recording.without_score) == (2, 1)
