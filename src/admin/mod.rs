//! Reads only: metrics, health and status over HTTP.
