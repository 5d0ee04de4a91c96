module go-command

go 1.27
