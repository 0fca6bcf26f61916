"""Every claim holds on random instances, attains its bound, and could have failed; the command says what it found."""

import dataclasses
import json
import pathlib
import re

import matplotlib as mpl
import numpy as np
import pytest

import jaxcliff as jc
from jaxcliff.claims import registry, verification
from jaxcliff.cli.main import main
from tests.conftest import needs_x64

pytestmark = needs_x64
CLAIMS = jc.claims.claims()
NAMES = [claim.name for claim in CLAIMS]
ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.parametrize("claim", CLAIMS, ids=NAMES)
def test_a_claim_holds_and_a_slightly_wrong_one_does_not(claim):
    found = verification.measured(claim, 64, 0)
    assert found.holds, found.verdict
    assert found.count >= 64 / claim.costly
    several = list(verification.attained(claim, 0)) or list(verification.batches(claim, 64, 0))
    told = [bool(claim.violated(claim.wrong(claim.found(batch))).any()) for batch in several]
    assert not any(told) if claim.kind == "refuted" else any(told)


@pytest.mark.slow
@pytest.mark.parametrize("claim", CLAIMS, ids=NAMES)
def test_ten_thousand_instances(claim):
    found = verification.measured(claim, 10_000, 1)
    print(f"{claim.name}: {found.verdict}, at most {found.worst:.4g}, {found.seconds:.0f} s")
    assert found.holds, found.verdict


def test_all_numbered_items_of_the_paper_are_there():
    paper = {f"Assumption 2.{i}" for i in (1, 2, 3)} | {f"2.{i}" for i in range(4, 12)} | {"3.1", "3.2", "C.1", "C.2"}
    paper |= {f"4.{i}" for i in range(1, 8)}
    assert len(paper) == 22
    assert paper <= set(NAMES)
    for claim in CLAIMS:
        assert claim.statement.endswith(".")
        assert claim.kind in registry.KINDS


def test_every_kind_says_what_it_found():
    """One sentence each; and the dataset has a row for each, drawn by its figure."""
    kinds = {claim.kind: claim.name for claim in CLAIMS}
    assert set(kinds) == set(registry.KINDS)
    found = [one for one in jc.claims.verify(list(kinds.values()), instances=16) if one.claim.name in kinds.values()]
    said = {one.claim.kind: one.verdict for one in found}
    assert said == {
        "tight": "holds, attained",
        "loose": "holds",
        "exact": "equal",
        "validator": "refused",
        "refuted": "refuted, as it should be",
    }
    ds = jc.claims.to_dataset(found)
    assert ds.sizes["claim"] == len(found)
    drawn = jc.figures.claims(ds)
    assert isinstance(drawn, mpl.figure.Figure)
    assert [tick.get_text() for tick in drawn.axes[0].get_yticklabels()] == ds.claim.values.tolist()


def broken(name, **changes):
    """The claims, one of which is wrong."""
    return {each.name: dataclasses.replace(each, **changes) if each.name == name else each for each in CLAIMS}


def test_a_violated_claim_is_saved_and_replayed(monkeypatch, tmp_path, capsys):
    """A bound that is a half of what it should be."""
    true = next(each for each in CLAIMS if each.name == "2.4")

    def half(mdp, **arrays):
        found = true.check(mdp, **arrays)
        return found._replace(bound=np.asarray(found.bound) / 2)

    monkeypatch.setattr(registry, "_CLAIMS", broken("2.4", check=half))
    assert main(["verify", "--only", "2.4", "--instances", "64", "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().out
    assert "VIOLATED by" in said
    assert "1 not as they say" in said
    file = re.search(r"--replay (.*\.npz)", said)[1]
    assert main(["verify", "--replay", file]) == 1
    assert "this instance contradicts the claim" in capsys.readouterr().out
    monkeypatch.setattr(registry, "_CLAIMS", broken("", check=None))
    assert main(["verify", "--replay", file]) == 0
    assert "agrees with the claim" in capsys.readouterr().out
    for end in ("claims.json", "claims.png", "claims.pdf"):
        assert (tmp_path / "out" / end).stat().st_size > 1000


def test_what_is_not_attained_or_not_refuted_fails(monkeypatch):
    claims = {each.name: each for each in CLAIMS}
    monkeypatch.setattr(registry, "_CLAIMS", broken("4.2", equality=claims["4.2"].instances))
    [found] = jc.claims.verify(["4.2"], instances=16)
    assert not found.holds
    assert found.verdict.startswith("NOT ATTAINED")
    true = dataclasses.replace(claims["2.4"], kind="refuted", equality=None)
    monkeypatch.setattr(registry, "_CLAIMS", {"2.4": true})
    [found] = jc.claims.verify(["2.4"], instances=16)
    assert (found.holds, found.verdict) == (False, "NOT REFUTED")


def test_nan_contradicts():
    claim = CLAIMS[0]
    found = jc.claims.Found(np.nan, 1.0).arrays()
    assert claim.violated(found).all()


def test_the_table_as_data_and_only_some(tmp_path, capsys):
    file = tmp_path / "table.json"
    assert main(["verify", "--only", "2.10, C.2 exact", "--instances", "32", "--seed", "3", "--json", str(file)]) == 0
    table = json.loads(file.read_text())
    assert [row["name"] for row in table["claims"]] == [
        "2.10",
        "2.10 sets",
        "2.10 any rule",
        "2.10 visited",
        "C.2 exact",
    ]
    assert all(row["holds"] and row["instances"] >= 32 for row in table["claims"])
    assert "5 claims" in capsys.readouterr().out
    again = jc.claims.verify(["C.2 exact"], instances=32, seed=3)[0]
    assert again.worst == table["claims"][-1]["worst"]


BAD = {
    "an unknown claim": (["--only", "9.9"], "there is no claim '9.9'; there are Assumption 2.1"),
    "no instances": (["--instances", "0"], "instances must be a whole number of at least 1"),
    "a negative seed": (["--seed", "-1", "--only", "2.10"], "seed must be"),
    "a folder that is not there": (["--json", "no/where.json"], "there is no folder no"),
    "nothing to replay": (["--replay", "no.npz"], "there is no file no.npz"),
    "no instance": (["--replay", "README.md"], "README.md holds no instance of a claim"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_a_sentence(name, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    arguments, words = BAD[name]
    assert main(["verify", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_the_page_has_every_claim_as_it_is_registered():
    page = (ROOT / "docs/theory.md").read_text()
    for claim in CLAIMS:
        row = f"| {claim.name} | {claim.statement.replace('|', '∣')}"
        assert row in page, f"docs/theory.md lacks {claim.name}: python docs/claims.py"
