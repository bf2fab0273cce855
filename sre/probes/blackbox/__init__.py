"""How does /probe answer like blackbox_exporter? Modules, probers and exposition of its own."""
