"""Run folders: one folder per run, written as it goes, with one atomic `result.json` when it is done."""
