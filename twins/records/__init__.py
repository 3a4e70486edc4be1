"""What a plant writes down beside its sensors: maintenance orders, their codes and notes, and alarms."""

from twins.records.alarms import Alarm, alarm_channels
from twins.records.orders import CODES, Code, Mistake, Records, order_channels

__all__ = ["CODES", "Alarm", "Code", "Mistake", "Records", "alarm_channels", "order_channels"]
