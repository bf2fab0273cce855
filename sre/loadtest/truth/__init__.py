"""Do the customers' answers and the shop's database tell the same story?"""
