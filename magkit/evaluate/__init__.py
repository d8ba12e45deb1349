"""The measurements that magkit is judged by."""
