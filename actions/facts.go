package actions

import (
	"encoding/json"

	"github.com/looprecovery/looprecovery/chainscan"
)

// Facts is what a run knows so far. It is saved as JSON with every outcome and
// holds nothing secret: no token bytes, no macaroon, no preimage and no
// private key. The run names the backup file by path and hash; who needs the
// token opens the file again and compares the hash.
type Facts struct {
	// Request is what the run was asked to do.
	Request Request `json:"request"`

	// Node is the identity key of lnd, 33 bytes in hex, as first seen by
	// the run. A resumed run refuses to go on with another lnd, unless it
	// was stopped before it had verified the first one.
	Node string `json:"node,omitempty"`

	// Located is the file chosen by LocateBackup.
	Located *Located `json:"located,omitempty"`

	// Generation is what the run restores or rescans.
	Generation *Generation `json:"generation,omitempty"`

	// Birthday is the height at which the scan starts.
	Birthday int32 `json:"birthday,omitempty"`

	// Effects says what the run itself changed, for the report. It is not
	// used to decide whether an effect is there: that is probed.
	Effects Effects `json:"effects"`

	// LookAhead is the Deps.LookAhead with which the finished scan was
	// made: a changed setting does not put its coverage in doubt.
	LookAhead uint32 `json:"look_ahead,omitempty"`

	// Coverage is the evidence of the finished scan.
	Coverage *chainscan.Coverage `json:"coverage,omitempty"`

	// Summary is the canonical result.
	Summary json.RawMessage `json:"summary,omitempty"`
}

// Request is what a user, or the daemon itself, asked for.
type Request struct {
	// BackupFile is the path of the file to restore from, as the daemon
	// sees it; empty to choose.
	BackupFile string `json:"backup_file,omitempty"`

	// TokenID restricts the choice to one token, 64 lower-case hex digits.
	TokenID string `json:"token_id,omitempty"`

	// Automatic says that the daemon began the run by itself at its start.
	Automatic bool `json:"automatic,omitempty"`
}

// Located names a backup file.
type Located struct {
	// Path is the file's path as the daemon sees it.
	Path string `json:"path"`

	// SHA256 is the hash of the whole file, 64 lower-case hex digits.
	SHA256 string `json:"sha256"`

	// TokenID is the token the file claims, 64 lower-case hex digits.
	TokenID string `json:"token_id"`

	// Others are the token ids of other valid backups that were found and
	// not chosen.
	Others []string `json:"others,omitempty"`

	// Unread are the backup places that could not be read when the file was
	// chosen.
	Unread []string `json:"unread,omitempty"`
}

// Generation is the part of a generation that is not secret.
type Generation struct {
	// Network is the name of the network as loopd spells it.
	Network string `json:"network"`

	// TokenID is the id of the paid L402 token, 64 lower-case hex digits.
	TokenID string `json:"token_id"`

	// TokenCreated is the token's creation time in unix nanoseconds.
	TokenCreated int64 `json:"token_created"`

	// ProtocolVersion to FamiliesFirstHeight are the fields of
	// staticaddr.Descriptor; keys are compressed, in hex.
	ProtocolVersion     uint32 `json:"protocol_version"`
	ServerKey           string `json:"server_key"`
	ClientKey           string `json:"client_key"`
	KeyFamily           int32  `json:"key_family"`
	KeyIndex            uint32 `json:"key_index"`
	Expiry              uint32 `json:"expiry"`
	ReceiveFamily       int32  `json:"receive_family"`
	ChangeFamily        int32  `json:"change_family"`
	FirstHeight         int32  `json:"first_height"`
	FamiliesFirstHeight int32  `json:"families_first_height"`

	// IndexUnknown says that the backup does not tell KeyIndex, and that
	// VerifyNetwork has not found it yet.
	IndexUnknown bool `json:"index_unknown,omitempty"`

	// Address is the static address in the encoding of its network.
	Address string `json:"address"`
}

// Effects says what a run changed.
type Effects struct {
	// TokenPlaced: the run wrote l402.token.
	TokenPlaced bool `json:"token_placed,omitempty"`

	// SetAside is where the run moved a token file that did not parse.
	SetAside string `json:"set_aside,omitempty"`

	// ScriptImported: the script was new to lnd's wallet.
	ScriptImported bool `json:"script_imported,omitempty"`

	// RowCreated: the run inserted the address row.
	RowCreated bool `json:"row_created,omitempty"`

	// KeysAdvanced is, for each key family, the number of keys that were
	// derived to move lnd's counter.
	KeysAdvanced map[int32]uint32 `json:"keys_advanced,omitempty"`

	// Unsaved: the process died, or a save failed, in a state that has
	// effects. More may have been done than is told here.
	Unsaved bool `json:"unsaved,omitempty"`
}

// None reports whether nothing was changed.
func (e Effects) None() bool {
	return !e.TokenPlaced && e.SetAside == "" && !e.ScriptImported &&
		!e.RowCreated && len(e.KeysAdvanced) == 0 && !e.Unsaved
}

// Summary is the canonical result of a run. Two runs over one history compare
// byte for byte: it holds no times, run ids or tip, and its lists are sorted.
type Summary struct {
	// TokenID, Network, Address, KeyFamily, KeyIndex and Expiry name the
	// generation.
	TokenID   string `json:"token_id"`
	Network   string `json:"network"`
	Address   string `json:"address"`
	KeyFamily int32  `json:"key_family"`
	KeyIndex  uint32 `json:"key_index"`
	Expiry    uint32 `json:"expiry"`

	// Outputs are all outputs found, sorted by height, transaction and
	// index.
	Outputs []SummaryOutput `json:"outputs"`

	// Unspent is the sum of the outputs without a spend, in satoshis.
	Unspent int64 `json:"unspent_sat"`
}

// SummaryOutput is one found output.
type SummaryOutput struct {
	// OutPoint is "txid:index".
	OutPoint string `json:"outpoint"`

	// Value is the amount in satoshis.
	Value int64 `json:"value_sat"`

	// Height is the height of the funding block.
	Height int32 `json:"height"`

	// KeyFamily and KeyIndex locate the client key of the script.
	KeyFamily int32  `json:"key_family"`
	KeyIndex  uint32 `json:"key_index"`

	// SpendTxID and SpendHeight name the confirmed spend, if any.
	SpendTxID   string `json:"spend_txid,omitempty"`
	SpendHeight int32  `json:"spend_height,omitempty"`
}
