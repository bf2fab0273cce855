"""What did the shop's own monitoring see during a run?"""
