//! Intervals and verdicts. Every number here is tested against R or SciPy.
