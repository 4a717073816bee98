"""``pytest --brief``: a line every few seconds in place of thousands of dots, and at the end what was skipped and why."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

SECONDS = 10.0  # between two lines
REASONS = 8  # that are shown, the most frequent first


class Brief:
    """Takes the place of what pytest shows while tests run; failures are shown at once, and in full at the end."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self._reporter = reporter
        self._total = self._done = 0
        self._began = self._said = time.monotonic()

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Count as pytest does, and show no letter for it."""
        if hasattr(report, "wasxfail"):
            return None
        if report.when == "call" or report.skipped:
            return report.outcome, "", report.outcome.upper()
        return ("error", "", "ERROR") if report.failed else ("", "", "")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._total = self._total or len(session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self._total = len(ids)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._reporter.write_line(f"FAILED {report.nodeid}", red=True)

    def pytest_runtest_logfinish(self) -> None:
        self._done += 1
        now = time.monotonic()
        if now - self._said >= SECONDS or self._done == self._total:
            self._said = now
            share = 100 * self._done // max(self._total, 1)
            self._reporter.write_line(f"{share:4d} %  {self._done} of {self._total} tests  {now - self._began:.0f} s")

    def pytest_terminal_summary(self) -> None:
        for line in skipped(self._reporter.stats.get("skipped", [])):
            self._reporter.write_line(line)


def skipped(reports: list[Any]) -> list[str]:
    """Say what was skipped, a line for each reason."""
    reasons = Counter(
        str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr).removeprefix("Skipped: ")
        for report in reports
    )
    lines = [f"skipped {count:4d}: {' '.join(reason.split())}" for reason, count in reasons.most_common(REASONS)]
    rest = len(reports) - sum(count for _, count in reasons.most_common(REASONS))
    if rest:
        lines.append(f"skipped {rest:4d}: for {len(reasons) - REASONS} other reasons (pytest -rs tells)")
    return lines


def install(config: pytest.Config) -> None:
    """Show less, where ``--brief`` was given and ``-v`` was not."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if config.option.brief and config.option.verbose <= 0 and reporter is not None:
        reporter.reportchars = "fE"
        config.pluginmanager.register(Brief(reporter), "brief")
