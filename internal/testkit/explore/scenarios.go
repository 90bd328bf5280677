package explore

import (
	"encoding/hex"
	"io/fs"
	"path"
	"time"

	"github.com/looprecovery/looprecovery/actions"
	"github.com/looprecovery/looprecovery/internal/testkit/twin"
	"github.com/looprecovery/looprecovery/states"
)

const (
	// usbDir is a directory that is no backup place.
	usbDir = "/usb"

	// notesPath is a file that is no backup.
	notesPath = usbDir + "/notes.txt"

	// later is how much younger the other generation is.
	later = time.Hour
)

// Scenarios returns all scenarios: pairs of faults are tried on the plain
// restore and the plain rescan, single ones on everything that goes another
// way.
func Scenarios() []Scenario {
	scenarios := []Scenario{
		{
			Name: "restore", Kind: states.Restore, Pairs: true,
			prepare: func(*scene) {},
		},
		{
			Name: "rescan", Kind: states.Rescan, Pairs: true,
			prepare: adoptable,
		},
		{
			Name: "reorg", Kind: states.Restore, reorgs: true,
			prepare: func(*scene) {},
		},
		{
			Name: "damaged", Kind: states.Restore,
			prepare: damagedToken,
		},
	}
	scenarios = append(scenarios, halves()...)
	scenarios = append(scenarios, requests()...)
	scenarios = append(scenarios, places()...)

	return append(scenarios, stops()...)
}

// halves are the scenarios in which one half of the generation is in place, and
// the embedded daemon runs with it until the other one is written.
func halves() []Scenario {
	return []Scenario{
		{
			Name: "tokenalone", Kind: states.Restore,
			prepare: func(s *scene) {
				s.Tokens.Put(s.content.Token)
			},
		},
		{
			Name: "rowalone", Kind: states.Restore,
			prepare: func(s *scene) {
				row, err := s.content.Address.Parameters()
				if err != nil {
					panic(err)
				}
				s.Rows.Put(row)
			},
		},
	}
}

// requests are the scenarios in which somebody says what to restore from.
func requests() []Scenario {
	return []Scenario{
		{
			Name: "file", Kind: states.Restore, prepare: onUSB,
			request: func(s *scene) actions.Request {
				return actions.Request{BackupFile: s.file}
			},
		},
		{
			Name: "tokenid", Kind: states.Restore,
			prepare: addYounger, request: byTokenID,
		},
		{
			Name: "older", Kind: states.Restore,
			prepare: func(s *scene) {
				s.Backups.Remove(s.file)
				s.Backups.PutOlder(twin.DataDir, s.content)
			},
		},
		{
			// Other software restored the client before, and set
			// the first height to that of its restore.
			Name: "lateheight", Kind: states.Restore,
			prepare: func(s *scene) {
				s.Backups.Remove(s.file)
				late := *s.content
				late.Address.FirstHeight += 2
				late.Address.FamiliesFirstHeight += 2
				s.Backups.Put(twin.DataDir, &late)
			},
		},
		{
			Name: "automatic", Kind: states.Restore,
			prepare: func(*scene) {},
			request: func(*scene) actions.Request {
				return actions.Request{Automatic: true}
			},
		},
		{
			Name: "wrongfile", Kind: states.Restore,
			prepare: func(s *scene) {
				s.mkdir(usbDir)
				s.Disk.Write(notesPath, []byte("no backup"))
			},
			wrong: &wrongRequest{
				actions.Request{BackupFile: notesPath},
				states.NotABackup,
			},
		},
	}
}

// places are the scenarios in which a place is not what it should be.
func places() []Scenario {
	return []Scenario{
		{
			Name: "missing", Kind: states.Restore,
			prepare: func(s *scene) {
				s.Disk.Break(twin.SecondDir, fs.ErrNotExist)
			},
		},
		{
			Name: "unreadable", Kind: states.Restore,
			prepare: func(s *scene) {
				s.Disk.Break(twin.SecondDir, fs.ErrPermission)
			},
		},
		{
			Name: "hanging", Kind: states.Restore, hangs: 2,
			prepare: func(*scene) {},
		},
	}
}

// stops are the scenarios that must block.
func stops() []Scenario {
	return []Scenario{
		{
			Name: "otherseed", Kind: states.Restore,
			Blocks: states.NoBackupFound,
			prepare: func(s *scene) {
				s.Lnd.Replace("mallory")
			},
		},
		{
			Name: "othertoken", Kind: states.Restore,
			Blocks: states.NoBackupFound,
			prepare: func(s *scene) {
				s.Tokens.Put(twin.NewToken(
					"bob", s.content.TokenCreated, true,
				))
			},
		},
		{
			Name: "conflict", Kind: states.Restore,
			Blocks: states.BackupConflict,
			prepare: func(s *scene) {
				other := *s.content
				other.Address.Expiry++
				s.Backups.Put(twin.SecondDir, &other)
			},
		},
		{
			Name: "noplace", Kind: states.Restore,
			Blocks: states.PlaceUnreadable,
			prepare: func(s *scene) {
				s.Backups.Remove(s.file)
				s.Disk.Break(twin.SecondDir, fs.ErrPermission)
			},
		},
	}
}

// adoptable puts token and address row back, and takes the backup away: what a
// rescan begins with.
func adoptable(s *scene) {
	row, err := s.content.Address.Parameters()
	if err != nil {
		panic(err)
	}
	s.Rows.Put(row)
	s.Tokens.Put(s.content.Token)
	s.Backups.Remove(s.file)
}

// damagedToken puts a file that does not parse in the token's place, and one
// where such files are set aside.
func damagedToken(s *scene) {
	s.mkdir(path.Dir(asidePath))
	s.Disk.Write(asidePath, []byte("older"))
	s.Tokens.Put([]byte("half a tok"))
}

// onUSB moves the backup to a directory that is no backup place.
func onUSB(s *scene) {
	s.mkdir(usbDir)
	raw, _ := s.Disk.Read(s.file)
	s.Backups.Remove(s.file)
	s.file = path.Join(usbDir, path.Base(s.file))
	s.Disk.Write(s.file, raw)
}

// addYounger adds a backup of another, younger generation.
func addYounger(s *scene) {
	other := s.NewContent("bob", keyIndex+1)
	other.Address.FirstHeight = s.content.Address.FirstHeight
	other.TokenCreated = s.content.TokenCreated.Add(later)
	other.Token = twin.NewToken("bob", other.TokenCreated, true)
	s.Backups.Put(twin.DataDir, other)
}

// byTokenID asks for the generation of the scene.
func byTokenID(s *scene) actions.Request {
	return actions.Request{
		TokenID: hex.EncodeToString(s.content.TokenID[:]),
	}
}

// mkdir makes a directory.
func (s *scene) mkdir(name string) {
	if err := s.Disk.Mkdir(name, 0o700); err != nil {
		panic(err)
	}
}
