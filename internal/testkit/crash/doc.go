// Package crash is a file system in memory that can lose its power.
//
// FS keeps apart what a program sees and what is on the disk. What was not
// synced may or may not have reached it when the power goes, each change for
// itself and in any order: FS.Cuts yields every state in which the disk can be
// found then. That is harsher than most file systems are: a rename may be found
// half done, a file may have its new size but none of its contents.
//
// FS also fails on demand: see FS.Fail.
package crash
