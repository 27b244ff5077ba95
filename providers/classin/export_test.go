package classin

// What the tests of the package examine from outside.
var (
	SignV2 = signV2
	RowsOf = rowsOf
)
