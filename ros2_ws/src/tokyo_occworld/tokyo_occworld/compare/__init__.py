"""A recorded drive beside the embedded engine at the same poses: do two simulators sense the same city?"""
