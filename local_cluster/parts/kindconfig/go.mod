module local/kindconfig

go 1.26.8
