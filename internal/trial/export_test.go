package trial

// Quick shortens a setup's runs, as for a model that is only needed on the way.
func Quick(s Setup) Setup { return quick(s) }
