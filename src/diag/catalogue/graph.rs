//! Problems of how steps fit together: names, orders, types.
