package main

import "encoding/json"

// summary is the part of a run's canonical result that is shown. Its form is
// actions.Summary's.
type summary struct {
	// KeyFamily and KeyIndex locate the client key of the address.
	KeyFamily int32  `json:"key_family"`
	KeyIndex  uint32 `json:"key_index"`

	// Outputs are all outputs found.
	Outputs []summaryOutput `json:"outputs"`

	// Unspent is the sum of those without a spend, in satoshis.
	Unspent int64 `json:"unspent_sat"`
}

// summaryOutput is one output found.
type summaryOutput struct {
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
	SpendTxID   string `json:"spend_txid"`
	SpendHeight int32  `json:"spend_height"`
}

// parseSummary reads a summary. Fields that it does not know are those of a
// newer daemon and are skipped.
func parseSummary(text string) (*summary, error) {
	parsed := &summary{}
	if err := json.Unmarshal([]byte(text), parsed); err != nil {
		return nil, err
	}

	return parsed, nil
}

// isAddress reports whether an output pays the generation's own address, the
// one that the embedded daemon works with.
func (s *summary) isAddress(output summaryOutput) bool {
	return output.KeyFamily == s.KeyFamily &&
		output.KeyIndex == s.KeyIndex
}
