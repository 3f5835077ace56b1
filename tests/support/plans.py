"""How the databases will execute statements."""

import re
from typing import Any

from sqlalchemy import Select, text

from todo_adapters.sql.statements import Parameters, Query
from todo_api.container import Container


def explain_for_any_values(container: Container, statement: Any) -> str:
    """Return the plan that is made without knowing the values of the parameters."""
    engine = container.database().engine
    sql = str(statement.compile(engine))
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            driver = connection.connection.driver_connection
            assert driver is not None
            return "\n".join(
                row[-1]
                for row in driver.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * sql.count("?"))
            )
        names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", sql)))
        generic = re.sub(r"%\((\w+)\)s", lambda found: f"${names.index(found[1]) + 1}", sql)
        rows = connection.exec_driver_sql(f"EXPLAIN (GENERIC_PLAN) {generic}")
        return "\n".join(row[0] for row in rows)


def explain_for_values(container: Container, statement: Query, parameters: Parameters) -> str:
    """Return the plan that is made for these values, on SQLite the one for any values."""
    engine = container.database().engine
    if engine.dialect.name == "sqlite":
        return explain_for_any_values(container, statement)
    sql = str(statement.compile(engine))
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN {sql}", dict(parameters))
        return "\n".join(row[0] for row in rows)


def explain(container: Container, statement: Select[Any], parameters: dict[str, object]) -> str:
    engine = container.database().engine
    is_sqlite = engine.dialect.name == "sqlite"
    explanation = text(
        f"{'EXPLAIN QUERY PLAN' if is_sqlite else 'EXPLAIN'} "
        + str(
            statement.params(**parameters).compile(engine, compile_kwargs={"literal_binds": True})
        )
    )
    with engine.connect() as connection:
        return "\n".join(str(row[-1]) for row in connection.execute(explanation))
