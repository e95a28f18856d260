module github.com/socketeer-io/socketeer/test/bench

go 1.26.0

ignore ./node_modules

require go.uber.org/goleak v1.3.0
