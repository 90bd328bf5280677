// Package swapdb is the embedded daemon's database as we see it: SQLite's file
// or a PostgreSQL database, with upstream's tables in it.
//
// Check is a look before anything of upstream's opens the database: whether
// that would succeed. It tells what a person must mend from what passes, and
// leaves everything as it was: no file is made or changed, no schema brought up
// to date, no handle or connection left open, so that it can be repeated for
// ever. A failed open of upstream's leaves its handles open.
//
// DB is our second connection beside the embedded daemon's, for the address
// row, the deposits and the question what is in flight. It is opened only after
// Check passed, and can be opened anew.
package swapdb
