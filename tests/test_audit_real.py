"""The audit of a table of real scores, every number of it in a few lines of numpy and pandas."""

import pathlib

import numpy as np
import pandas as pd
import pytest
import scipy.special

import jaxcliff as jc
from tests.conftest import needs_x64

pytestmark = needs_x64
REAL = pathlib.Path(__file__).parents[2] / "shared/data/bon16.csv"
real = pytest.mark.skipif(not REAL.exists(), reason="the table of real scores is not there")


@real
def test_every_number_of_the_real_table_in_twenty_lines_of_numpy():
    found = jc.audit(REAL, suspect="chars", tie_tolerance=1e-6)
    n = found.numbers
    d = pd.read_csv(REAL, dtype={"response": str})
    assert (n["rows"], n["prompts"], int(found.rows.empty[0])) == (len(d), d.prompt.nunique(), d.judge.isna().sum())
    assert (len(d), d.judge.isna().sum()) == (12_880, 4_025)
    distinct = d.drop_duplicates(["prompt", "text_sha1"])
    assert n["answers"] == len(distinct)
    assert n["with_equal_answers"] == (d.groupby("prompt").text_sha1.nunique() < 16).sum() == 30
    scored = d[d.judge.notna()]
    pair = scored.sort_values("judge").groupby("prompt").tail(2).groupby("prompt")
    close = pair.judge.max() - pair.judge.min() <= 1e-6
    assert n["tied_rows"] == close.sum() == 53
    assert n["equal_best"] == (close & (pair.text_sha1.nunique() == 1)).sum() == 14
    single = scored.drop_duplicates(["prompt", "text_sha1"]).sort_values("judge").groupby("prompt")
    top = single.tail(2).groupby("prompt").judge.agg(["min", "max", "size"])
    top = top[top["size"] == 2]
    margin = top["max"] - top["min"]
    assert (n["compared"], n["margin_below_0.001"], n["margin_below_0.01"]) == (
        len(top),
        (margin < 0.001).sum(),
        (margin < 0.01).sum(),
    )
    assert n["near_at_the_ends"] == ((margin < 0.001) & ((top["max"] <= 0.001) | (top["max"] >= 0.999))).sum()
    odds = scipy.special.logit(top["max"]) - scipy.special.logit(top["min"])
    assert n["logit_below_0.1"] == (odds < 0.1).sum()
    assert n["median_margin"] == pytest.approx(margin.median())
    assert n["ties"] == (margin <= 1e-6).sum()
    answers = scored.drop_duplicates(["prompt", "text_sha1"])
    spread = np.sqrt(
        (answers.groupby("prompt").judge.var() * (answers.groupby("prompt").size() - 1)).sum()
        / (answers.groupby("prompt").size() - 1).sum()
    )
    assert n["noise"] == pytest.approx(0.05 * spread)
    assert n["within_noise"] == (margin <= np.sqrt(2) * n["noise"]).sum()
    place = answers.groupby("prompt").chars.rank(method="average").sub(1) / (
        answers.groupby("prompt").chars.transform("size") - 1
    )
    winners_of = answers.assign(place=place).sort_values("judge", kind="stable").groupby("prompt").tail(1)
    assert found.suspects.rank_of_winners[0] == pytest.approx(
        winners_of.place.mean(), abs=0.003
    )  # ties go to the first
