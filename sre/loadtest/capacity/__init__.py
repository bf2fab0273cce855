"""How much does the shop bear? The search for the highest rate that still keeps its promises."""
