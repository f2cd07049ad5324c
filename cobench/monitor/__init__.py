"""Were the written standards met, and whom did the work reach?"""
