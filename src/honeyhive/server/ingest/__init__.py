"""What comes in: checked, appended to the log, and only then answered.

::

    routes     what is sent to the backend
    adoption   what programs recorded while no backend ran
"""
