//! Every operation against finite differences, in first and second order.
