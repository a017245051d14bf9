//! Reads the TOML file into a [`super::Config`].
