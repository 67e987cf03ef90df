from decimal import Decimal
from pathlib import Path

from podflare import Sandbox
from podflare_emulator import Emulator

HERE = Path(__file__).parent / "templates"

TEMPLATES = {
    "reports": {
        "imports": ["json", "decimal as d"],
        "files": {"/data": HERE / "prices"},
        "env": {"CURRENCY": "EUR"},
        "setup": HERE / "set_up.py",
    }
}


def test_a_sandbox_goes_on_from_where_the_setup_has_ended():
    with Emulator(templates=TEMPLATES) as emulator, emulator.redirect_clients():
        with Sandbox(template="reports") as sandbox:
            assert Decimal(sandbox.run_code("print(sum(prices))").stdout) == Decimal("19.2")
            sandbox.run_code("prices.clear()")
        with Sandbox(template="reports") as another:
            assert another.run_code("print(len(prices))").stdout == "2"
