"""Runs OpenStack's ovsdbapp, and so the Python IDL of Open vSwitch, on a database hardware_vtep: what a controller of today is built from.

    PYTHON idl_program.py REMOTE        PYTHON of scripts/networking-l2gw; REMOTE: unix:PATH or tcp:HOST:PORT

Commands come as JSON lines, and so do answers, {"ok": value} or {"error": text}:

    ["transact", [KIND, TABLE, RECORD, COLUMNS], ...]    one transaction; KIND create (RECORD: a name for later entries, or null), set (adds to
                                                         a map), clear (COLUMNS: their names), or destroy
    ["find", TABLE, {COLUMN: VALUE}]                     rows, as the IDL has them

RECORD is the row's name, or its UUID. In COLUMNS, {"map": [[KEY, VALUE] ...]} is a map, {"row": [TABLE, COLUMN, VALUE]}
a row that there is, and {"new": NAME} one of the same transaction.
"""
import json
import sys
import traceback
import uuid

from ovsdbapp import api
from ovsdbapp.backend import ovs_idl
from ovsdbapp.backend.ovs_idl import connection, idlutils, transaction


class HardwareVTEP(ovs_idl.Backend, api.API):
    lookup_table = {table: idlutils.RowLookup(table, column, None) for table, column in {
        "ACL": "acl_name", "Logical_Router": "name", "Logical_Switch": "name", "Manager": "target", "Physical_Port": "name",
        "Physical_Switch": "name"}.items()}

    def create_transaction(self, check_error=False, log_errors=True, **options):
        return transaction.Transaction(self, self.ovsdb_connection, 30, check_error, log_errors)


def decoded(value, made):
    if isinstance(value, list):
        return [decoded(element, made) for element in value]
    if not isinstance(value, dict):
        return value
    if "map" in value:
        return {key: decoded(element, made) for key, element in value["map"]}
    if "new" in value:
        return made[value["new"]]
    return idlutils.row_by_value(database.idl, *value["row"]).uuid


def transact(*entries):
    made = {}
    with database.transaction(check_error=True) as changes:
        for kind, table, record, columns in entries:
            if kind == "clear":
                for column in columns:
                    changes.add(database.db_clear(table, key(record), column))
                continue
            columns = {name: decoded(value, made) for name, value in columns.items()}
            if kind == "create":
                made[record] = changes.add(database.db_create(table, **columns))
            elif kind == "set":
                changes.add(database.db_set(table, key(record), *columns.items(), if_exists=False))
            else:
                changes.add(database.db_destroy(table, key(record)))


def key(record):
    try:
        return uuid.UUID(record)
    except ValueError:
        return record


def find(table, values):
    rows = database.db_find(table).execute(check_error=True)
    # References as UUIDs.
    rows = json.loads(json.dumps(rows, default=lambda value: str(getattr(value, "uuid", value))))
    return [row for row in rows if all(row[column] == value for column, value in values.items())]


database = HardwareVTEP(connection.Connection(connection.OvsdbIdl.from_server(sys.argv[1], "hardware_vtep"), timeout=30))
print(json.dumps({"ok": "ready"}), flush=True)
for line in sys.stdin:
    name, *arguments = json.loads(line)
    try:
        answer = {"ok": {"transact": transact, "find": find}[name](*arguments)}
    except Exception:
        answer = {"error": traceback.format_exc()}
    print(json.dumps(answer), flush=True)
