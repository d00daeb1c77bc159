"""OccWorld on recorded sessions: data, model, training, evaluation and live forecasts. No ROS."""

import os

# Threads that wait without spinning: on two cores shared with a simulator, spinning OpenMP threads made a forecast of
# 0.6 s take up to 15 s. Read when torch loads, hence here; a user's own setting stands.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "0")
