"""All kinds of repositories by name."""

from __future__ import annotations

from collections.abc import Mapping

from agentrl.envs.repo.families import (
    access_rights,
    bookings,
    calculator,
    checkout,
    diff_tool,
    event_bus,
    file_tree,
    form_checks,
    ini_reader,
    invoice,
    job_queue,
    league,
    ledger,
    log_report,
    lru_cache,
    markup,
    matrix,
    numbers,
    payroll,
    plugins,
    rate_limiter,
    roads,
    router,
    search_index,
    small_text,
    statistics_cli,
    template_engine,
    text_table,
    todo_cli,
    unit_conversion,
    vending,
    version_ranges,
    warehouse,
)
from agentrl.envs.repo.family import Kind

__all__ = ["KINDS"]

_LARGE = (
    calculator,
    template_engine,
    ini_reader,
    markup,
    invoice,
    warehouse,
    checkout,
    payroll,
    lru_cache,
    rate_limiter,
    event_bus,
    router,
    vending,
    plugins,
    job_queue,
    todo_cli,
    form_checks,
    version_ranges,
    access_rights,
    unit_conversion,
    matrix,
    roads,
    bookings,
    statistics_cli,
    diff_tool,
    text_table,
    search_index,
    file_tree,
    league,
    ledger,
    log_report,
)

KINDS: Mapping[str, Kind] = {
    kind.name: kind for kind in (*small_text.KINDS, *numbers.KINDS, *(module.KIND for module in _LARGE))
}
"""Name -> kind, in a fixed order: those of one module first."""
