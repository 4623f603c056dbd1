"""Whether what is asked of the master can be right, in the words of a Mesos master; tested against recordings of one."""
