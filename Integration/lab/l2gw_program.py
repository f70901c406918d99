"""Runs OpenStack's networking-l2gw, unchanged: its agent (OVSDBManager), and its plugin's side (OVSDBData, L2gwRpcDriver) on an SQLite file,
in one process. What stands for the rest of Neutron, which has networks, ports and hosts, is here.

    PYTHON l2gw_program.py SETTINGS        PYTHON of scripts/networking-l2gw; JSON: log, database, ovsdb (options), world

Commands come as JSON lines, [name, argument...], and so do answers, {"ok": value} or {"error": text}.
"""
import json
import logging
import os
import sys
import traceback

settings = json.loads(sys.argv[1])
logging.basicConfig(filename=settings["log"], level=logging.DEBUG, format="%(asctime)s %(name)s %(levelname)s %(message)s")
for noisy in ("sqlalchemy", "oslo.messaging", "oslo_db", "stevedore", "neutron.db", "oslo_policy"):
    logging.getLogger(noisy).setLevel(logging.WARNING)

from networking_l2gw.services.l2gateway.common import config as l2gw_config
from neutron.common import config as common_config
from neutron.conf.agent import common as agent_config
from neutron_lib import context as contexts
from neutron_lib import rpc
from neutron_lib.plugins import directory
from oslo_config import cfg
from oslo_db import options as db_options
from oslo_messaging import transport

common_config.register_common_config_options()
l2gw_config.register_ovsdb_opts_helper(cfg.CONF)
l2gw_config.register_l2gw_opts_helper()
agent_config.register_agent_state_opts_helper(cfg.CONF)
db_options.set_defaults(cfg.CONF, connection=f"sqlite:///{settings['database']}")
cfg.CONF([], project="neutron", default_config_files=[])
cfg.CONF.register_opts(transport._transport_opts)
cfg.CONF.set_override("transport_url", "fake:/")
cfg.CONF.set_override("host", "agent-host")
cfg.CONF.set_override("report_interval", 0, group="AGENT")
for key, value in settings["ovsdb"].items():
    cfg.CONF.set_override(key, value, group="ovsdb")
rpc.init(cfg.CONF)

from networking_l2gw.db.l2gateway import l2gateway_models
from networking_l2gw.db.l2gateway.ovsdb import lib as ovsdb_lib
from networking_l2gw.db.l2gateway.ovsdb import models as ovsdb_models
from networking_l2gw.services.l2gateway.agent.ovsdb import manager
from networking_l2gw.services.l2gateway.ovsdb import data
from networking_l2gw.services.l2gateway.service_drivers import rpc_l2gw
from neutron_lib.db import api as db_api
from neutron_lib.db import model_base

WORLD = settings["world"]
MODELS = [value for module in (ovsdb_models, l2gateway_models) for value in vars(module).values() if hasattr(value, "__table__")]
model_base.BASEV2.metadata.create_all(
    db_api.CONTEXT_WRITER.get_engine(), tables=list({model.__table__.name: model.__table__ for model in MODELS}.values()))


class Core:
    """What the gateway's code asks of ML2."""

    def get_ports(self, context, filters=None):
        return [dict(port) for port in WORLD["ports"] if all(port.get(key) in values for key, values in (filters or {}).items())]

    def get_port(self, context, port_id):
        return next(dict(port) for port in WORLD["ports"] if port["id"] == port_id)

    def get_network(self, context, network_id):
        return dict(WORLD["networks"][network_id])

    def get_agents(self, context, filters=None):
        return [dict(agent) for agent in WORLD["agents"] if agent["host"] in (filters or {}).get("host", [agent["host"]])]


class Service:
    """What the driver asks of the service plugin: gateways and connections that an operator has made."""
    _core_plugin = Core()

    def _admin_check(self, *_):
        pass

    def get_l2_gateway(self, context, gateway):
        return WORLD["gateways"][gateway]

    _get_l2_gateway = get_l2_gateway

    def get_l2gateway_devices_by_gateway_id(self, context, gateway):
        return [{"id": f"{gateway}/{device['device_name']}", "device_name": device["device_name"]}
                for device in WORLD["gateways"][gateway]["devices"]]

    def get_l2gateway_interfaces_by_device_id(self, context, device):
        gateway, name = device.split("/")
        return [{"interface_name": interface["name"], "segmentation_id": interface.get("segmentation_id", 0)}
                for device in WORLD["gateways"][gateway]["devices"] if device["device_name"] == name for interface in device["interfaces"]]

    def _is_vlan_configured_on_any_interface_for_l2gw(self, context, gateway):
        return any(interface.get("segmentation_id") for device in WORLD["gateways"][gateway]["devices"] for interface in device["interfaces"])

    def _get_network(self, context, network):
        return WORLD["networks"].get(network)

    def _retrieve_gateway_connections(self, *_):
        return None

    def _get_tenant_id_for_create(self, *_):
        return "tenant"

    def get_l2_gateway_connections(self, context, filters=None):
        return [dict(connection) for connection in WORLD["connections"]
                if all(connection.get(key) in values for key, values in (filters or {}).items() if key != "tenant_id")]

    def get_l2_gateway_connection(self, context, connection):
        return next((dict(found) for found in WORLD["connections"] if found["id"] == connection), None)


class ToPlugin:
    """From agent to plugin: what would go over the message bus, straight into the plugin's code."""

    def update_ovsdb_changes(self, context, activity, ovsdb_data):
        ovsdb_data = json.loads(json.dumps(ovsdb_data))
        self.handle(ovsdb_data["ovsdb_identifier"], lambda handler, context: handler.update_ovsdb_changes(context, activity, ovsdb_data))

    def notify_ovsdb_states(self, context, states):
        if states:
            self.handle(list(states)[0], lambda handler, context: handler.notify_ovsdb_states(context, states))

    def handle(self, identifier, call):
        handler = data.OVSDBData(identifier)
        handler.agent_rpc = ToAgent()
        context = contexts.get_admin_context()
        try:
            # In Neutron a session is there already.
            with db_api.CONTEXT_WRITER.using(context):
                call(handler, context)
        except Exception:
            logging.exception("plugin")


class ToAgent:
    """From plugin to agent."""
    PARAMETERS = {
        "add_vif_to_gateway": ("ovsdb_identifier", "logical_switch_dict", "locator_dict", "mac_dict"),
        "update_vif_to_gateway": ("ovsdb_identifier", "locator_dict", "mac_dict"),
        "delete_vif_from_gateway": ("ovsdb_identifier", "logical_switch_uuid", "mac"),
        "delete_network": ("ovsdb_identifier", "logical_switch_uuid"),
        "update_connection_to_gateway": ("ovsdb_identifier", "logical_switch_dict", "locator_dicts", "mac_dicts", "port_dicts", "op_method"),
    }

    def __getattr__(self, name):
        def call(context, *arguments):
            from oslo_serialization import jsonutils
            wire = jsonutils.dumps([dict(argument.items()) if hasattr(argument, "items") else argument for argument in arguments])
            return getattr(MANAGER, name)(context, **dict(zip(self.PARAMETERS[name], json.loads(wire))))
        return call


def update_physical_switch_status(context, record):
    """The plugin's own begins a transaction inside ours."""
    context.session.query(ovsdb_models.PhysicalSwitches).filter_by(uuid=record["uuid"]).update(
        {"switch_fault_status": record["switch_fault_status"]})


directory.add_plugin("CORE", Service._core_plugin)
ovsdb_lib.update_physical_switch_status = update_physical_switch_status
manager.OVSDBManager._setup_state_rpc = lambda self: None
MANAGER = manager.OVSDBManager(cfg.CONF)
MANAGER.plugin_rpc = ToPlugin()
# Its constructor starts threads for a message bus.
DRIVER = rpc_l2gw.L2gwRpcDriver.__new__(rpc_l2gw.L2gwRpcDriver)
DRIVER.service_plugin = Service()
DRIVER.agent_rpc = ToAgent()
DRIVER.ovsdb_callback = data.L2GatewayOVSDBCallbacks(DRIVER)


def tables():
    context = contexts.get_admin_context()
    with db_api.CONTEXT_READER.using(context):
        return {model.__name__: [{column.name: getattr(row, column.name) for column in row.__table__.columns}
                                 for row in context.session.query(model)]
                for model in vars(ovsdb_models).values() if hasattr(model, "__table__") and model.__module__ == ovsdb_models.__name__}


def execute(command, *arguments):
    context = contexts.get_admin_context()
    if command == "monitor":
        MANAGER.set_monitor_agent(context, "agent-host")
    elif command == "tables":
        return tables()
    elif command == "world":
        WORLD.update(arguments[0])
    elif command == "connect":
        DRIVER.create_l2_gateway_connection(context, {"l2_gateway_connection": arguments[0]})
        WORLD["connections"].append({**arguments[0], "segmentation_id": int(arguments[0]["segmentation_id"])})
    elif command == "disconnect":
        DRIVER.delete_l2_gateway_connection(context, arguments[0])
        WORLD["connections"][:] = [connection for connection in WORLD["connections"] if connection["id"] != arguments[0]]
    elif command in ("add_port", "move_port"):
        if command == "add_port":
            WORLD["ports"].append(arguments[0])
            port = arguments[0]
        else:
            port = next(port for port in WORLD["ports"] if port["id"] == arguments[0])
            port["binding:host_id"] = arguments[1]
        with db_api.CONTEXT_WRITER.using(context):
            DRIVER.add_port_mac(context, port)
    elif command == "delete_port":
        port = next(port for port in WORLD["ports"] if port["id"] == arguments[0])
        WORLD["ports"].remove(port)
        with db_api.CONTEXT_WRITER.using(context):
            DRIVER.delete_port_mac(context, port)
    else:
        raise ValueError(command)


print(json.dumps({"ok": "ready"}), flush=True)
for line in sys.stdin:
    try:
        answer = {"ok": execute(*json.loads(line))}
    except BaseException as error:
        answer = {"error": f"{type(error).__name__}: {error}\n{traceback.format_exc()}"}
    print(json.dumps(answer), flush=True)
os._exit(0)
