//! Problems of recorded executions.
