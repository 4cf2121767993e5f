"""The report: short enough to read, and nothing lost."""

import pytest

from seepseg.io.faults import BAD_NAME, CONSTANT_IMAGE, WARNINGS, WRONG_VALUES, FaultKind
from seepseg.io.report import Report, present_report


def test_an_offender_is_shown_with_what_was_found():
    report = Report()
    report.add(CONSTANT_IMAGE, "a.tif", "only 7")
    report.add(WRONG_VALUES, "b.tif", ["9 (27 px)", "12 (3 px)"])
    report.add(BAD_NAME, "c d")
    lines = str(report).splitlines()
    assert lines[0] == "error: wrong values in targets: 1"  # errors first
    assert "    b.tif: found 9 (27 px), 12 (3 px)" in lines
    assert "    c d" in lines
    assert lines[-1] == "    a.tif: found only 7"
    assert report.in_full() == str(report)


def test_of_many_offenders_the_first_are_shown():
    report = Report()
    for number in range(1234):
        report.add(BAD_NAME, f"odd {number}")
    text = str(report)
    assert text.startswith("error: wrong names: 1234\n")
    assert "    odd 9\n    and 1,224 more" in text
    assert "odd 10\n" not in text
    assert report.in_full().count("    odd ") == 1234


@pytest.mark.parametrize(("count", "end"), [(5, "5"), (6, "5 and 1 other"), (98, "5 and 93 others")])
def test_of_many_values_the_first_are_shown(count, end):
    report = Report()
    report.add(WRONG_VALUES, "a.tif", [str(value) for value in range(1, count + 1)])
    assert str(report).endswith(f"a.tif: found 1, 2, 3, 4, {end}")
    assert report.in_full().endswith(f", {count}")


def test_long_lines_are_cut_and_the_end_of_a_path_stays():
    report = Report()
    report.add(BAD_NAME, "folder/" * 100 + "name.tif", "x" * 5000)
    (line,) = str(report).splitlines()[3:]
    assert len(line) < 450
    assert "folder/name.tif: found xxx" in line and line.endswith("xxx...")
    assert "x" * 5000 in report.in_full()


def test_a_line_break_in_a_name_forges_no_line():
    report = Report()
    report.add(BAD_NAME, "a\nerror: b")
    assert len(str(report).splitlines()) == 4


def test_warnings_are_counted_by_their_metric_whatever_was_expected():
    report = Report()
    report.add(FaultKind("constant", "another text", "", CONSTANT_IMAGE.metric), "a.tif")
    report.add(CONSTANT_IMAGE, "b.tif")
    assert not report.has_errors
    assert report.warning_counts() == {kind.metric: 0 for kind in WARNINGS} | {"constant_images": 2}


def test_every_warning_is_counted_under_a_name_of_its_own():
    assert len({kind.metric for kind in WARNINGS}) == len(WARNINGS)


def test_what_is_left_out_is_in_a_file_that_the_text_names(tmp_path):
    report, file = Report(), tmp_path / "report.txt"
    for number in range(11):
        report.add(BAD_NAME, f"odd {number}")
    text = present_report(report, file)
    assert text == f"{report}\nthe whole report is in {file}"
    assert file.read_text() == f"{report.in_full()}\n"
    assert "odd 10" in file.read_text() and "odd 10" not in text


def test_a_short_report_leaves_no_file_not_even_an_old_one(tmp_path):
    file = tmp_path / "report.txt"
    file.write_text("of an earlier run")
    report = Report()
    assert present_report(report, file) == ""
    assert not file.exists()


def test_a_file_that_cannot_be_written_does_not_hide_the_faults(tmp_path):
    report, file = Report(), tmp_path / "report.txt"
    file.mkdir()
    for number in range(11):
        report.add(BAD_NAME, f"odd {number}")
    text = present_report(report, file)
    assert text.startswith(f"{report}\nthe whole report could not be written to {file}: ")
