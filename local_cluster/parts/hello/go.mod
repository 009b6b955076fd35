module roadstead.dev/local_cluster/parts/hello

go 1.26.0
