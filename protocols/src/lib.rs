//! Bytes in, borrowed views out; has never heard of disks or sockets.
