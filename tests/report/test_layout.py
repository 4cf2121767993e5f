from seepseg.report.contents import Table
from seepseg.report.layout import number_columns, render_tables

TABLE = Table("Runs & more", "of <b>two</b>", ["name", "Dice", "what"], [["a<b", ".71 (+.02)", "all"], ["c", "–", "1"]])


def test_text_is_escaped():
    html = render_tables('Runs of "a"', ["1 < 2"], [TABLE])
    assert "a&lt;b" in html and "1 &lt; 2" in html and "of &lt;b&gt;two" in html and "Runs &amp; more" in html
    assert "<b>" not in html and 'Runs of "a"' not in html


def test_columns_of_numbers_and_gaps_are_aligned():
    assert number_columns(TABLE) == [False, True, False]


def test_nothing_is_loaded():
    html = render_tables("t", [], [TABLE])
    assert "://" not in html and "src=" not in html and "default-src 'none'" in html
