module roadstead.dev/credential-provider

go 1.26.0
