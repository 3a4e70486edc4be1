"""What training takes of time, work, memory and energy: told beforehand, and measured."""
