package ofproto

import "testing"

func TestMetersAreReadAsOpenVSwitchReadsThem(t *testing.T) {
	for name, c := range map[string]struct {
		cmd      uint16
		in, want string // the message without its header; or what is wrong
	}{
		"a band that drops":                     {MeterAdd, "meter=1,kbps,bands=type=drop,rate=1000", "00000001000000010001001000" + "0003e80000000000000000"},
		"keys end at blanks and equals signs":   {MeterAdd, "meter 1 kbps band=type drop rate 1000", "00000001000000010001001000" + "0003e80000000000000000"},
		"two bands, one of which remarks":       {MeterAdd, "meter=2,pktps,burst,stats,band=type=drop,rate=1,burst_size=2,type=dscp_remark,rate=3,burst_size=4,prec_level=5", "0000000e00000002000100100000000100000002000000000002001000000003000000040500" + "0000"},
		"modify":                                {MeterModify, "meter=controller,stats,band=type=drop,rate=1", "00010008fffffffe00010010000000010000000000000000"},
		"delete one":                            {MeterDelete, "meter=slowpath", "00020000fffffffd"},
		"delete all":                            {MeterDelete, "meter=all", "00020000ffffffff"},
		"delete without a text":                 {MeterDelete, "", "00020000ffffffff"},
		"a rate of 33 bits is cut":              {MeterAdd, "meter=1,kbps,bands=type=drop,rate=0x100000001", "0000000100000001" + "00010010000000010000000000000000"},
		"no bands":                              {MeterAdd, "meter=1,kbps", "column 13: bands=... is missing at the end"},
		"bands without an equals sign":          {MeterAdd, "meter=1,kbps,bands", "column 14: want bands=..."},
		"bands with nothing in them":            {MeterAdd, "meter=1,kbps,bands=", "column 20: the meter has no band"},
		"no number":                             {MeterAdd, "kbps,bands=type=drop,rate=1", "column 1: meter=... is missing"},
		"meter 0":                               {MeterAdd, "meter=0,kbps,bands=type=drop,rate=1", "column 7: meter 0 is not one of 1 to 4294901760, controller or slowpath"},
		"no unit":                               {MeterAdd, "meter=1,bands=type=drop,rate=1", "column 1: kbps or pktps is missing"},
		"a flag where none may be":              {MeterDelete, "meter=1,kbps", "column 9: kbps has no value"},
		"no type":                               {MeterAdd, "meter=1,kbps,bands=rate=1", "column 20: a band begins with its type: type=drop or type=dscp_remark"},
		"no rate":                               {MeterAdd, "meter=1,kbps,bands=type=drop", "column 25: the band needs a rate"},
		"no rate in the first of two":           {MeterAdd, "meter=1,kbps,bands=type=drop,type=drop,rate=1", "column 25: the band needs a rate"},
		"a type that is not known":              {MeterAdd, "meter=1,kbps,bands=type=shout,rate=1", `column 25: a band of type "shout" is not known: want drop or dscp_remark`},
		"a key that is not known":               {MeterAdd, "meter=1,kbps,bands=type=drop,rat=1", `column 30: there is no "rat" in a band: want rate, burst_size or prec_level`},
		"a burst that no flag announces":        {MeterAdd, "meter=1,kbps,bands=type=drop,rate=1,burst_size=1", "column 25: only a meter with the flag burst has bands with a burst_size"},
		"a flag that announces a burst":         {MeterAdd, "meter=1,kbps,burst,bands=type=drop,rate=1", "column 31: a band of a meter with the flag burst needs a burst_size"},
		"a precedence in a band that drops":     {MeterAdd, "meter=1,kbps,bands=type=drop,rate=1,prec_level=1", "column 25: only a band that remarks has a prec_level"},
		"no precedence in a band that remarks":  {MeterAdd, "meter=1,kbps,bands=type=dscp_remark,rate=1", "column 25: a band that remarks needs a prec_level"},
		"a precedence that one byte can't hold": {MeterAdd, "meter=1,kbps,bands=type=dscp_remark,rate=1,prec_level=256", "column 55: 256 is not a number from 0 to 255"},
		"a command that there is not":           {3, "meter=1", "column 1: there is no command 3 for meters"},
	} {
		m, err := ParseMeterMod(c.cmd, c.in)
		if got := sent(m, err); got != c.want {
			t.Errorf("%s: %s\n got %s\nwant %s", name, c.in, got, c.want)
		}
	}
}
