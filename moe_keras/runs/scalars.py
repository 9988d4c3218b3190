"""Scalar metrics for TensorBoard."""


class ScalarLog:
    """Summary writer for TensorBoard; needs TensorFlow, not TensorBoard itself.

    Args:
        folder: Path of the folder for its files.
    """

    def __init__(self, folder):
        import tensorflow as tf

        self._tf = tf
        self._writer = tf.summary.create_file_writer(str(folder))
        self._metadata = tf.compat.v1.SummaryMetadata()
        self._metadata.plugin_data.plugin_name = "scalars"

    def write(self, step, values):
        """Write scalars by name at a step."""
        with self._writer.as_default(step=step):
            for name, value in values.items():
                tensor = self._tf.constant(value, "float32")
                self._tf.summary.write(name, tensor, metadata=self._metadata)
        self._writer.flush()
