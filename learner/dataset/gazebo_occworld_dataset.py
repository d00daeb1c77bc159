"""Re-exports the dataset under the name that the training guide uses."""

from occworld.dataset import DatasetConfig, GazeboOccWorldDataset

__all__ = ["DatasetConfig", "GazeboOccWorldDataset"]
